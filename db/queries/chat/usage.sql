-- :name insert_model_calls :affected
-- :doc Calls whose answer is not stored.
INSERT INTO model_call (account_id, model, purpose, prompt_tokens, completion_tokens, cost)
SELECT account.id, given.*
FROM account
CROSS JOIN jsonb_to_recordset(CAST(:calls AS jsonb)) AS given (
    model text, purpose text, prompt_tokens integer, completion_tokens integer, cost numeric
)
WHERE account.id = :account_id

-- :name read_usage :many
-- :doc What an account has used, by day (UTC) and model, newest first. Sums are of what is known.
SELECT CAST(created_at AT TIME ZONE 'UTC' AS date) AS day, model, count(*) AS calls,
    coalesce(sum(prompt_tokens), 0) AS prompt_tokens,
    coalesce(sum(completion_tokens), 0) AS completion_tokens,
    CAST(sum(cost) AS double precision) AS cost,
    count(*) FILTER (WHERE cost IS NULL) AS calls_without_cost
FROM model_call
WHERE account_id = :account_id
    AND created_at >= (date_trunc('day', now() AT TIME ZONE 'UTC')
        - make_interval(days => :days - 1)) AT TIME ZONE 'UTC'
GROUP BY day, model
ORDER BY day DESC, model

-- :name list_usage_of_accounts :many
-- :doc The same of every account that has used anything, and by model.
SELECT account.id AS account_id, account.email, model, count(*) AS calls,
    coalesce(sum(prompt_tokens), 0) AS prompt_tokens,
    coalesce(sum(completion_tokens), 0) AS completion_tokens,
    CAST(sum(cost) AS double precision) AS cost,
    count(*) FILTER (WHERE cost IS NULL) AS calls_without_cost
FROM model_call
JOIN account ON account.id = model_call.account_id
WHERE model_call.created_at >= (date_trunc('day', now() AT TIME ZONE 'UTC')
    - make_interval(days => :days - 1)) AT TIME ZONE 'UTC'
GROUP BY account.id, account.email, model
ORDER BY sum(cost) DESC NULLS LAST, account.email, model
