-- migrate:up

-- A replica of the index is locked by the process that uses it, so nobody else can look into it.
-- Somebody who wants it compared with PostgreSQL asks here, and each process answers for its own.
CREATE TABLE index_check (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE index_check_answer (
    check_id uuid NOT NULL REFERENCES index_check ON DELETE CASCADE,
    -- machine:folder
    replica text NOT NULL,
    -- null while it is being compared, as is all that follows
    points bigint,
    missing uuid[],
    surplus uuid[],
    different uuid[],
    -- changes that the replica has yet to apply
    waiting bigint,
    PRIMARY KEY (check_id, replica)
);

-- Followers wake up for it at once.
CREATE TRIGGER index_check_notify AFTER INSERT ON index_check
    FOR EACH STATEMENT EXECUTE FUNCTION index_changed();

-- migrate:down

DROP TABLE index_check_answer;
DROP TABLE index_check;
