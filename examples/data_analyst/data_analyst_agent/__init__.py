"""What the data analyst knows of tables, apart from the platform: bytes in, an analysis and charts out."""
