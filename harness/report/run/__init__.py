"""The report of one run: charts, tables, JUnit and annotations."""
