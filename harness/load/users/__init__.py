"""The users of load: a module for each database, small classes of Locust's ``@task`` methods. Imports Locust."""
