\restrict dbmate

-- Dumped from database version 18.4
-- Dumped by pg_dump version 18.4

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: chunk_deleted(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.chunk_deleted() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO index_change (chunk_id) SELECT id FROM deleted;
    RETURN NULL;
END
$$;


--
-- Name: chunk_inserted(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.chunk_inserted() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO index_change (chunk_id) SELECT id FROM inserted;
    RETURN NULL;
END
$$;


--
-- Name: index_changed(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.index_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NOTIFY index_change;
    RETURN NULL;
END
$$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: chunk; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.chunk (
    id uuid NOT NULL,
    document_id uuid NOT NULL,
    ordinal integer NOT NULL,
    start_offset integer NOT NULL,
    end_offset integer NOT NULL,
    heading_path text[] NOT NULL,
    content_hash bytea NOT NULL,
    text text NOT NULL,
    CONSTRAINT chunk_check CHECK ((end_offset > start_offset)),
    CONSTRAINT chunk_content_hash_check CHECK ((octet_length(content_hash) = 32)),
    CONSTRAINT chunk_start_offset_check CHECK ((start_offset >= 0))
);


--
-- Name: document; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.document (
    id uuid NOT NULL,
    source_id uuid NOT NULL,
    path text NOT NULL,
    title text NOT NULL,
    content_hash bytea NOT NULL,
    recipe text NOT NULL,
    text text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT document_content_hash_check CHECK ((octet_length(content_hash) = 32))
);


--
-- Name: embedding; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.embedding (
    content_hash bytea NOT NULL,
    model text NOT NULL,
    vector bytea NOT NULL,
    CONSTRAINT embedding_content_hash_check CHECK ((octet_length(content_hash) = 32))
);


--
-- Name: index_change; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.index_change (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    id bigint NOT NULL,
    chunk_id uuid NOT NULL
);


--
-- Name: index_change_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.index_change ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.index_change_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: index_model; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.index_model (
    singleton boolean DEFAULT true NOT NULL,
    model text NOT NULL,
    dimensions integer NOT NULL,
    CONSTRAINT index_model_dimensions_check CHECK ((dimensions > 0)),
    CONSTRAINT index_model_singleton_check CHECK (singleton)
);


--
-- Name: message; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.message (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    question_id uuid,
    role text NOT NULL,
    status text DEFAULT 'complete'::text NOT NULL,
    model text NOT NULL,
    message text NOT NULL,
    finish_reason text,
    prompt_tokens integer,
    completion_tokens integer,
    sources jsonb DEFAULT '[]'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT message_check CHECK (((role <> 'assistant'::text) OR (question_id IS NOT NULL))),
    CONSTRAINT message_role_check CHECK ((role = ANY (ARRAY['user'::text, 'system'::text, 'assistant'::text]))),
    CONSTRAINT message_status_check CHECK ((status = ANY (ARRAY['complete'::text, 'cancelled'::text, 'failed'::text])))
);


--
-- Name: schema_migrations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.schema_migrations (
    version character varying NOT NULL
);


--
-- Name: source; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.source (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    kind text NOT NULL,
    location text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT source_kind_check CHECK ((kind = 'folder'::text))
);


--
-- Name: chunk chunk_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.chunk
    ADD CONSTRAINT chunk_pkey PRIMARY KEY (id);


--
-- Name: document document_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.document
    ADD CONSTRAINT document_pkey PRIMARY KEY (id);


--
-- Name: document document_source_id_path_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.document
    ADD CONSTRAINT document_source_id_path_key UNIQUE (source_id, path);


--
-- Name: embedding embedding_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.embedding
    ADD CONSTRAINT embedding_pkey PRIMARY KEY (content_hash, model);


--
-- Name: index_change index_change_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.index_change
    ADD CONSTRAINT index_change_pkey PRIMARY KEY (xid, id);


--
-- Name: index_model index_model_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.index_model
    ADD CONSTRAINT index_model_pkey PRIMARY KEY (singleton);


--
-- Name: message message_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.message
    ADD CONSTRAINT message_pkey PRIMARY KEY (id);


--
-- Name: schema_migrations schema_migrations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);


--
-- Name: source source_kind_location_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.source
    ADD CONSTRAINT source_kind_location_key UNIQUE (kind, location);


--
-- Name: source source_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.source
    ADD CONSTRAINT source_pkey PRIMARY KEY (id);


--
-- Name: chunk_content_hash; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX chunk_content_hash ON public.chunk USING btree (content_hash);


--
-- Name: chunk_document_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX chunk_document_id ON public.chunk USING btree (document_id, ordinal);


--
-- Name: message_newest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX message_newest ON public.message USING btree (created_at DESC, id DESC);


--
-- Name: message_question_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX message_question_id ON public.message USING btree (question_id);


--
-- Name: chunk chunk_deleted; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER chunk_deleted AFTER DELETE ON public.chunk REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION public.chunk_deleted();


--
-- Name: chunk chunk_inserted; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER chunk_inserted AFTER INSERT ON public.chunk REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION public.chunk_inserted();


--
-- Name: index_change index_change_notify; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER index_change_notify AFTER INSERT ON public.index_change FOR EACH STATEMENT EXECUTE FUNCTION public.index_changed();


--
-- Name: chunk chunk_document_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.chunk
    ADD CONSTRAINT chunk_document_id_fkey FOREIGN KEY (document_id) REFERENCES public.document(id) ON DELETE CASCADE;


--
-- Name: document document_source_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.document
    ADD CONSTRAINT document_source_id_fkey FOREIGN KEY (source_id) REFERENCES public.source(id) ON DELETE CASCADE;


--
-- Name: message message_question_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.message
    ADD CONSTRAINT message_question_id_fkey FOREIGN KEY (question_id) REFERENCES public.message(id) ON DELETE CASCADE;


--
-- PostgreSQL database dump complete
--

\unrestrict dbmate


--
-- Dbmate schema migrations
--

INSERT INTO public.schema_migrations (version) VALUES
    ('20261120000001'),
    ('20261120000002');
