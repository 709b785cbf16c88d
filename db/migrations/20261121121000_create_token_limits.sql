-- migrate:up

-- API tokens may have limits of their own, below their account's.
ALTER TABLE access_token
    ADD COLUMN requests_per_minute integer CHECK (requests_per_minute > 0),
    ADD COLUMN tokens_per_day integer CHECK (tokens_per_day > 0);

-- Tokens of language models are counted, too, and there are more of them.
ALTER TABLE rate_limit ALTER COLUMN count TYPE bigint;

-- Add each limit's cost to what is used of it in its window, which begins with the first use after
-- the last window; a cost of 0 is only looked up. Step by step: once more than `most` is used of a
-- limit, those of later steps are left alone. Rows are locked in one order, whoever counts: nobody
-- waits for somebody who waits for them.
-- A window never ends later than if it had just begun: that is what a clock that was set back leaves.
-- One that is only looked up is over then, since nothing would ever bring its end nearer.
CREATE FUNCTION use_limits(limits jsonb)
RETURNS TABLE (limit_key text, used bigint, reset_sec integer) LANGUAGE plpgsql AS $$
DECLARE
    given record;
    found_row rate_limit;
    last_step integer;
BEGIN
    FOR given IN
        SELECT step, key, cost, most, now() + make_interval(secs => window_sec) AS ends_at
        FROM jsonb_to_recordset(limits) AS one_limit (
            step integer, key text, cost bigint, most bigint, window_sec integer
        )
        ORDER BY step, key COLLATE "C"
    LOOP
        EXIT WHEN given.step > last_step;
        IF given.cost = 0 THEN
            SELECT * INTO found_row
            FROM rate_limit
            WHERE key = decode(given.key, 'hex') AND ends_at > now() AND ends_at <= given.ends_at;
        ELSE
            INSERT INTO rate_limit AS stored (key, count, ends_at)
            VALUES (decode(given.key, 'hex'), given.cost, given.ends_at)
            ON CONFLICT (key) DO UPDATE SET
                count = CASE WHEN stored.ends_at > now() THEN stored.count ELSE 0 END
                    + excluded.count,
                ends_at = CASE
                    WHEN stored.ends_at > now() THEN least(stored.ends_at, excluded.ends_at)
                    ELSE excluded.ends_at
                END
            RETURNING * INTO found_row;
        END IF;
        limit_key := given.key;
        used := coalesce(found_row.count, 0);
        reset_sec := ceil(
            extract(epoch FROM coalesce(found_row.ends_at, given.ends_at) - now())
        );
        RETURN NEXT;
        IF used > given.most THEN
            last_step := given.step;
        END IF;
    END LOOP;
END
$$;

-- migrate:down

DROP FUNCTION use_limits;
DELETE FROM rate_limit;
ALTER TABLE rate_limit ALTER COLUMN count TYPE integer;
ALTER TABLE access_token DROP COLUMN tokens_per_day, DROP COLUMN requests_per_minute;
