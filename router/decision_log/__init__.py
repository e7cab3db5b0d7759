"""The decision log: what was decided and what came of it, from the store to Parquet files, exactly once.

The gateway's processes write records and outcomes into the store's streams. One process (`router.decision_log.process`)
reads them from there, makes rows of them and puts these into files that training, and anybody's DuckDB, can read; the
contract of the files is `policies.log_schema`.
"""
