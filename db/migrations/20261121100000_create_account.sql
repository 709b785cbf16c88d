-- migrate:up

-- People, and who owns what. The first one is the local account, which everything belongs to while
-- AUTH is off; nobody can log in as it.
CREATE TABLE account (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    -- as app/accounts/addresses.py writes it, so that one mailbox is one account
    email text NOT NULL UNIQUE,
    role text NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
    name text NOT NULL DEFAULT '',
    software_background text
        CHECK (software_background IN ('beginner', 'intermediate', 'advanced', 'expert')),
    hardware_background text
        CHECK (hardware_background IN ('beginner', 'intermediate', 'advanced', 'expert')),
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO account (id, email, role, name)
VALUES ('00000000-0000-0000-0000-000000000001', 'local', 'admin', 'local');

-- A link that was sent to an address: good once, and until it expires. What is stored of it can't
-- be turned back into the link.
CREATE TABLE login_link (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    email text NOT NULL,
    -- whether an account is made for the address when there is none
    registers boolean NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX login_link_expires_at ON login_link (expires_at);

-- Sessions, which logging in begins, and API tokens, which programs use.
CREATE TABLE access_token (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('session', 'api')),
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    name text NOT NULL DEFAULT '',
    -- the beginning of the token, by which its owner tells it from others
    hint text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    expires_at timestamptz
);
CREATE INDEX access_token_account_id ON access_token (account_id, created_at DESC);

-- Knowledge belongs to an account, and is read by all when it is shared. What there is was read by
-- all until now.
ALTER TABLE source
    ADD COLUMN account_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000001'
        REFERENCES account ON DELETE CASCADE,
    ADD COLUMN visibility text NOT NULL DEFAULT 'shared'
        CHECK (visibility IN ('private', 'shared')),
    DROP CONSTRAINT source_kind_location_key,
    ADD CONSTRAINT source_account_id_kind_location_key UNIQUE (account_id, kind, location);
-- Whoever makes one has to say whose it is.
ALTER TABLE source
    ALTER COLUMN account_id DROP DEFAULT,
    ALTER COLUMN visibility SET DEFAULT 'private';
-- app/knowledge/documents/services.py
UPDATE source SET location = 'shared uploads' WHERE kind = 'upload' AND location = 'uploads';

ALTER TABLE message
    ADD COLUMN account_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000001'
        REFERENCES account ON DELETE CASCADE;
ALTER TABLE message ALTER COLUMN account_id DROP DEFAULT;
DROP INDEX message_newest;
CREATE INDEX message_newest ON message (account_id, created_at DESC, id DESC);

-- Points know who may read them.
CREATE FUNCTION source_shared() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO index_change (chunk_id)
    SELECT chunk.id
    FROM chunk
    JOIN document ON document.id = chunk.document_id
    WHERE document.source_id = new.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER source_shared AFTER UPDATE OF visibility ON source
FOR EACH ROW WHEN (old.visibility IS DISTINCT FROM new.visibility)
EXECUTE FUNCTION source_shared();

-- migrate:down

DO $$
BEGIN
    IF EXISTS (SELECT FROM account WHERE id <> '00000000-0000-0000-0000-000000000001') THEN
        RAISE 'There are accounts, and without them what is private would be everybody''s. '
            'Delete them first.';
    END IF;
END
$$;
UPDATE source SET location = 'uploads'
WHERE kind = 'upload' AND location = 'shared uploads'
    AND NOT EXISTS (
        SELECT FROM source AS private WHERE private.kind = 'upload' AND private.location = 'uploads'
    );
DROP TRIGGER source_shared ON source;
DROP FUNCTION source_shared;
DROP INDEX message_newest;
ALTER TABLE message DROP COLUMN account_id;
CREATE INDEX message_newest ON message (created_at DESC, id DESC);
ALTER TABLE source
    DROP CONSTRAINT source_account_id_kind_location_key,
    ADD CONSTRAINT source_kind_location_key UNIQUE (kind, location),
    DROP COLUMN visibility,
    DROP COLUMN account_id;
DROP TABLE access_token, login_link, account;
