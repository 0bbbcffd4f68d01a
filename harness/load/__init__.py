"""Locust: users, open schedules, and the way of figures from workers to the run record."""
