"""One class per service: who calls, what is asked, do it, answer. No SQL here, and no try, abort or logging."""
