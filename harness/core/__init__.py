"""Clock, message token, units, errors and exit codes. Imports nothing of ours."""
