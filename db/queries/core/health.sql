-- :name ping :scalar
-- :doc Whether the database answers.
SELECT 1
