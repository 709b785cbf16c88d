-- :name insert_login_link :affected
-- :doc None for an address without an account, unless the link makes one. Old links go.
WITH expired AS (
    DELETE FROM login_link
    WHERE token_hash IN (
        SELECT token_hash FROM login_link WHERE expires_at < now() LIMIT 100 FOR UPDATE SKIP LOCKED
    )
)
INSERT INTO login_link (token_hash, email, registers, expires_at)
SELECT :token_hash, :email, :registers, now() + make_interval(mins => :minutes)
WHERE :registers OR EXISTS (SELECT FROM account WHERE email = :email)

-- :name use_login_link :one
-- :doc Of requests at the same time with the same link, one gets it.
UPDATE login_link
SET used_at = now()
WHERE token_hash = :token_hash AND used_at IS NULL AND expires_at > now()
RETURNING email, registers

-- :name insert_account :one
-- :doc None when there is one with this address.
INSERT INTO account (email, role)
VALUES (:email, :role)
ON CONFLICT (email) DO NOTHING
RETURNING id

-- :name find_account_by_email :one
-- :doc It stays until the transaction ends, so that it can be given tokens.
SELECT id, email, role, name, software_background, hardware_background, created_at
FROM account
WHERE email = :email
FOR KEY SHARE

-- :name promote_account :affected
UPDATE account SET role = 'admin' WHERE email = :email

-- :name has_other_accounts :scalar
SELECT EXISTS (SELECT FROM account WHERE id <> :local_account_id)

-- :name list_accounts :many
-- :doc The local one, which nobody logs in as, is left out.
SELECT account.email, account.role, account.created_at,
    max(access_token.last_used_at) AS last_used_at
FROM account
LEFT JOIN access_token ON access_token.account_id = account.id
WHERE account.id <> :local_account_id
GROUP BY account.id
ORDER BY account.created_at, account.id
