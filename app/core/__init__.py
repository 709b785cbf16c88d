"""What every domain needs: health, errors, logs, the database, the language model."""
