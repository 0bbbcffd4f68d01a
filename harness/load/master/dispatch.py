"""Deal users out to workers so that each user's number says which worker holds it."""

from collections.abc import Callable
from typing import Any

from locust.dispatch import UsersDispatcher
from locust.runners import WorkerNode


class NumberedDispatcher(UsersDispatcher):
    """Gives the k-th user of each class to worker k modulo W.

    Locust deals users of all classes round robin, which can put every chatter on one worker.
    Numbered dealing lets each worker know its users' global numbers, and so its own part of
    the schedule, without being told.

    The shares are dealt once. A worker that comes later gets none, and that of a worker that is
    lost goes to nobody: who took it over would have to join in the middle of what is measured.

    Args:
        workers: How many workers the plan is dealt to; those beyond get nothing.
        on_workers: Called with the workers' ids in order of their number.
    """

    def __init__(
        self,
        *,
        workers: int,
        on_workers: Callable[[list[str]], None],
        worker_nodes: list[WorkerNode],
        **kwargs: Any,
    ) -> None:
        super().__init__(worker_nodes=worker_nodes[:workers], **kwargs)
        on_workers([node.id for node in self._worker_nodes])

    def add_worker(self, worker_node: WorkerNode) -> None:
        """Give a worker that comes late nothing."""

    def remove_worker(self, worker_node: WorkerNode) -> None:
        """Leave the share of a lost worker where it is."""

    def _add_users_on_workers(self) -> dict[str, dict[str, int]]:
        batch = self._user_count_per_dispatch_iteration
        target = min(self._current_user_count + batch, self._target_user_count)
        while self._current_user_count < target:
            user = next(self._user_generator)
            if user is None:
                self._no_user_to_spawn = True
                break
            number = self._get_user_current_count(user)
            node = self._worker_nodes[number % len(self._worker_nodes)]
            self._users_on_workers[node.id][user] += 1
            self._current_user_count += 1
            self._active_users.append((node, user))
        return self._users_on_workers
