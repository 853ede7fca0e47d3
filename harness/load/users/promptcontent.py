"""Users of PromptContent: they find contents by hashtag, open them, like them."""

from __future__ import annotations

import random
from typing import Any

from locust import tag, task

from harness.load.users.base import PromptUser, empty
from harness.promptsales.content_changes import change_content

_FIELDS = {"title": 1, "hashtags": 1, "likes": 1}
_PAGE = 20
_MOST_TAGS = 500


class Editor(PromptUser):
    """Finds."""

    logical = "promptcontent"

    def learn(self) -> None:
        """Contents and hashtags."""
        self.contents = self.ids(
            "content", lambda: [one["_id"] for one in self.client.find("content", {}, fields={"_id": 1})]
        )
        found = self.client.command({"aggregate": "content", "pipeline": _TAGS, "cursor": {"batchSize": _MOST_TAGS}})
        self._tags: list[str] = [one["_id"] for one in found["cursor"]["firstBatch"]]
        if not self._tags:
            raise empty(self.target, "hashtag")

    @tag("read")
    @task(5)
    def contents_of_hashtag(self) -> None:
        """A page of the contents of a hashtag; the popular ones often."""
        tag = self._tags[int(len(self._tags) * random.random() ** self.skew)]
        self.request(
            "contents of hashtag",
            lambda client: client.find("content", {"hashtags": tag}, fields=_FIELDS, sort=[("_id", 1)], limit=_PAGE),
        )

    @tag("read")
    @task(3)
    def open_content(self) -> None:
        """A content, whole."""
        content = self.contents.one()
        self.request("open content", lambda client: client.find("content", {"_id": content}, limit=1))

    @tag("write")
    @task(2)
    def like_content(self) -> None:
        """One like more, and the outbox's entry with it, in one transaction: two changes at once are a write conflict."""
        content = self.contents.one()

        def work(client: Any) -> None:
            change_content(client.command, content, {"$inc": {"likes": 1}})

        self.request("like content", lambda client: client.transaction(work, self.level))


_TAGS = [
    {"$unwind": "$hashtags"},
    {"$group": {"_id": "$hashtags", "contents": {"$sum": 1}}},
    {"$sort": {"contents": -1, "_id": 1}},
    {"$limit": _MOST_TAGS},
]
