"""Import this before gRPC: it reads the variable then.

With it a child process runs gRPC's handlers between fork and exec, beside which gRPC's threads may abort it.
"""

import os

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
