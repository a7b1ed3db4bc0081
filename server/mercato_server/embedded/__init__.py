"""Everything of `mercato up`: PostgreSQL, workers and Envoy as child processes of one supervisor.

Linux only: no child outlives a parent that was killed, which rests on PR_SET_PDEATHSIG.
"""
