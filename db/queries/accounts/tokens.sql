-- :name find_caller :one
-- :doc Whose a token is that is valid now. Its use is noted once a minute, unless somebody else is
-- :doc at it: no request waits for that.
WITH used AS (
    UPDATE access_token
    SET last_used_at = now()
    WHERE id = (
        SELECT id
        FROM access_token
        WHERE token_hash = :token_hash AND (expires_at IS NULL OR expires_at > now())
            AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
        FOR NO KEY UPDATE SKIP LOCKED
    )
)
SELECT access_token.id, account_id, kind, scopes, requests_per_minute, tokens_per_day,
    account.role = 'admin' AS is_admin
FROM access_token
JOIN account ON account.id = access_token.account_id
WHERE token_hash = :token_hash AND (expires_at IS NULL OR expires_at > now())

-- :name list_valid_tokens :many
-- :doc Which of some tokens are valid now.
SELECT id
FROM access_token
WHERE id = ANY (CAST(:ids AS uuid[])) AND (expires_at IS NULL OR expires_at > now())

-- :name insert_session :scalar
INSERT INTO access_token (account_id, kind, token_hash, hint, scopes, expires_at)
VALUES (
    :account_id, 'session', :token_hash, :hint, string_to_array(:scopes, ' '),
    now() + make_interval(days => :days)
)
RETURNING expires_at

-- :name insert_api_token :one
INSERT INTO access_token (
    account_id, kind, token_hash, name, hint, scopes, expires_at, requests_per_minute, tokens_per_day
)
VALUES (
    :account_id, 'api', :token_hash, :name, :hint, string_to_array(:scopes, ' '), :expires_at,
    :requests_per_minute, :tokens_per_day
)
RETURNING id, name, hint, scopes, requests_per_minute, tokens_per_day, created_at, last_used_at,
    expires_at

-- :name count_api_tokens :scalar
SELECT count(*)
FROM access_token
WHERE account_id = :account_id AND kind = 'api' AND (expires_at IS NULL OR expires_at > now())

-- :name list_api_tokens :many
-- :doc Newest first. What has expired is as good as gone.
SELECT id, name, hint, scopes, requests_per_minute, tokens_per_day, created_at, last_used_at,
    expires_at
FROM access_token
WHERE account_id = :account_id AND kind = 'api' AND (expires_at IS NULL OR expires_at > now())
ORDER BY created_at DESC, id DESC

-- :name delete_api_token :affected
DELETE FROM access_token WHERE id = :token_id AND account_id = :account_id AND kind = 'api'

-- :name delete_session :affected
DELETE FROM access_token WHERE id = :token_id AND kind = 'session'

-- :name delete_expired_tokens :affected
DELETE FROM access_token
WHERE account_id = :account_id AND kind = :kind AND expires_at <= now()
