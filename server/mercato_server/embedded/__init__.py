"""`mercato up`: PostgreSQL, workers and Envoy as child processes of one supervisor.

Linux only: PR_SET_PDEATHSIG ends the children of a supervisor that was killed.
"""
