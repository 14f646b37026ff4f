"""The agent: the process on every node, which serves one service's :class:`ServiceAgent`."""
