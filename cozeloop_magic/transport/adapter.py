"""requests' way to these connections."""

from __future__ import annotations

from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

from cozeloop_magic.transport.connection import Connection, SecureConnection

__all__ = ["Adapter"]


class _Pool(HTTPConnectionPool):
    ConnectionCls = Connection  # tests: test_ends_with_the_calls_limit


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = SecureConnection  # tests: test_ends_when_the_client_is_closed


_POOLS = {"http": _Pool, "https": _SecurePool}


class Adapter(HTTPAdapter):
    """requests' adapter over these connections, through a proxy as well."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # tests: test_ends_when_the_client_is_closed
        """Set the pools' classes."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:  # tests: test_ends_when_the_client_is_closed
        """Set the pools' classes."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def close(self) -> None:  # tests: test_closing_leaves_no_connection_though_an_error_of_its_pool_is_kept
        """Close every connection now; left to itself, urllib3 waits until nobody holds a pool or an error of it."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        super().close()
