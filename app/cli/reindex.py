"""`python -m app reindex`: everything is embedded with another model, then that one is used."""

import typer
from anyio import to_thread

from app.cli.printing import print_json
from app.cli.progress import BarProgress
from app.knowledge.model_files import require_model
from app.knowledge.reindexing import begin_reindex, reindex
from app.resources.database import open_database
from app.resources.embedder import load_embedder
from settings import Settings

__all__ = ["reindex_all"]


async def reindex_all(settings: Settings, *, as_json: bool) -> None:
    """Make EMBEDDING_MODEL the model of the knowledge base.

    Raises:
        AppError, StartupError: it can't be done; says why.
    """
    model = settings.embedding_model
    await to_thread.run_sync(require_model, model, settings.models_dir)
    async with open_database(settings) as database:
        current = await database.run(begin_reindex, model)
        if current is None:
            done, words = (
                "nothing_embedded",
                (f"Nothing is embedded yet. What is ingested will be, with {model}."),
            )
        elif current == model:
            done, words = (
                "nothing_to_do",
                (f"There is nothing to do: everything is embedded with {model}."),
            )
        else:
            embedder = await to_thread.run_sync(load_embedder, settings)
            with BarProgress("texts") as progress:
                await reindex(database, embedder, progress.texts)
            done, words = (
                "reindexed",
                (
                    f"Everything is embedded with {model}. From now on, start bRAG with "
                    f"EMBEDDING_MODEL={model}."
                ),
            )
    if as_json:
        print_json({"result": done, "embedding_model": model})
    else:
        typer.echo(words)
