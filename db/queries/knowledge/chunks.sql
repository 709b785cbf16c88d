-- :name find_chunks :many
-- :doc Chunks with what an answer says of them; those that are gone are left out. An array is one
-- :doc parameter, where IN would be compiled anew for each number of ids.
SELECT chunk.id, chunk.document_id, document.path, document.title, chunk.heading_path,
    chunk.start_offset, chunk.end_offset, chunk.text
FROM chunk
JOIN document ON document.id = chunk.document_id
WHERE chunk.id = ANY (CAST(:ids AS uuid[]))

-- :name list_chunks :many
-- :doc In their order in the document.
SELECT id, start_offset AS start, end_offset AS "end", heading_path
FROM chunk
WHERE document_id = :document_id
ORDER BY ordinal
