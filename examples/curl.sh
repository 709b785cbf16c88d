#!/bin/sh
# Add a document, ask about it in three ways, and remove it again: sh examples/curl.sh [URL]
# With BRAG_TOKEN in the environment, as the account that the token belongs to.
set -eu

url=${1:-http://127.0.0.1:8000}

# Requests are JSON; one that is refused ends this with the reason.
call() {
    path=$1
    shift
    curl --silent --show-error --fail-with-body --no-buffer \
        ${BRAG_TOKEN:+--header "Authorization: Bearer $BRAG_TOKEN"} \
        --header 'Content-Type: application/json' "$@" "$url$path"
    echo
}

# The first value of a name in what is read; jq does it better, where there is one.
value() {
    grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4
}

echo '--- Add a document'
added=$(call /v1/documents --data '{
    "path": "examples/ferry.md",
    "title": "The ferry",
    "text": "The ferry leaves at seven in the morning. A ticket costs four euros."
}')
echo "$added"
document=$(echo "$added" | grep -o '"documents":.*' | value id)
ingestion=$(echo "$added" | value id)

echo '--- Wait until it is stored: events, to the end of the run'
call "/v1/ingestions/$ingestion/events"

echo '--- Ask'
call /v1/qa-create --data '{"message": "When does the ferry leave?"}'

echo '--- Ask, and have the answer streamed'
call /v1/qa-stream --data '{"message": "What does a ticket for the ferry cost?"}'

echo '--- Ask in a chat, where a question may lean on the one before'
chat=$(call /v1/chats --request POST | value id)
call "/v1/chats/$chat/messages" --data '{"message": "When does the ferry leave?"}'
call "/v1/chats/$chat/messages" --data '{"message": "And what does a ticket for it cost?"}'

echo '--- Remove the chat and the document'
call "/v1/chats/$chat" --request DELETE
call "/v1/documents/$document" --request DELETE
