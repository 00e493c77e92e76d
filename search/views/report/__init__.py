"""report.html: a search on one page, which opens offline and can be sent."""
