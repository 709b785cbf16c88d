-- :name find_chunks :many
-- :doc Chunks with their vectors and what an answer says of them; those that are gone, or that the
-- :doc account may not read, are left out.
-- :doc An array is one parameter, where IN would be compiled anew for each number of ids.
SELECT chunk.id, chunk.document_id, chunk.ordinal, chunk.heading_path, chunk.start_offset,
    chunk.end_offset, chunk.text, document.source_id, document.path,
    document.title, document.url, document.updated_at, source.name AS source_name,
    source.kind AS source_kind, source.location, source.account_id = :account_id AS mine,
    embedding.vector
FROM chunk
JOIN document ON document.id = chunk.document_id
JOIN source ON source.id = document.source_id
JOIN embedding ON embedding.content_hash = chunk.content_hash AND embedding.model = :model
WHERE chunk.id = ANY (CAST(:ids AS uuid[]))
    AND (source.account_id = :account_id OR source.visibility = 'shared')

-- :name read_ranges :many
-- :doc What stands between some characters of documents that the account may read.
SELECT given.chunk_id, substr(document.text, given.start + 1, given."end" - given.start) AS text
FROM jsonb_to_recordset(CAST(:ranges AS jsonb)) AS given (
    chunk_id uuid, document_id uuid, start integer, "end" integer
)
JOIN document ON document.id = given.document_id
JOIN source ON source.id = document.source_id
WHERE source.account_id = :account_id OR source.visibility = 'shared'

-- :name list_chunks :many
-- :doc In their order in the document.
SELECT chunk.id, start_offset AS start, end_offset AS "end", heading_path
FROM chunk
JOIN document ON document.id = chunk.document_id
JOIN source ON source.id = document.source_id
WHERE chunk.document_id = :document_id
    AND (source.account_id = :account_id OR source.visibility = 'shared')
ORDER BY ordinal
