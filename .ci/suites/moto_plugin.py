"""What moto's tests need of a server that is not moto's: nothing is left of the test before, and the account is known."""

import os

import boto3
import pytest

ENDPOINT = os.environ["TEST_SERVER_MODE_ENDPOINT"]


@pytest.fixture(autouse=True)
def nothing_left():
    sqs = boto3.session.Session().client("sqs", endpoint_url=ENDPOINT, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    while urls := sqs.list_queues(MaxResults=1000).get("QueueUrls"):
        for url in urls:
            sqs.delete_queue(QueueUrl=url)


def pytest_collection_modifyitems(items):
    for item in items:
        for defs in item._fixtureinfo.name2fixturedefs.get("account_id", ()):
            defs.func = lambda: "123456789012"
