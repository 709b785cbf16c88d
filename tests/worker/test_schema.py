"""The job engine's tables."""

from importlib import resources

from settings import ROOT


def test_the_migration_holds_the_schema_of_the_installed_package() -> None:
    schema = resources.files("procrastinate").joinpath("sql/schema.sql").read_text()
    migration = ROOT / "db/migrations/20261120150000_create_procrastinate.sql"

    assert schema.strip() in migration.read_text()
