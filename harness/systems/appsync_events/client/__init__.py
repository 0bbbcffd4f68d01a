"""The client of AppSync Events: connections and credentials."""
