"""The visual ETL's launcher: brings Apache Hop, runs what lies in ``etl/``, reads the log that its runs write."""
