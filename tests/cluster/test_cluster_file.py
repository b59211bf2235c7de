import re

import boto3
import moto
import pytest
from ray.autoscaler._private.aws.config import bootstrap_aws
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil
from ray.core.generated.autoscaler_pb2 import GangResourceRequest
from ray.core.generated.common_pb2 import LABEL_OPERATOR_NOT_IN
from ruamel.yaml import YAML

from tests.paths import ROOT

TEXT = (ROOT / "cluster.yaml").read_text()


@pytest.fixture
def cluster():
    return YAML(typ="safe").load(TEXT)


def outside(pool, *, jobs):
    """What Ray asks the autoscaler for on behalf of jobs of one GPU with label_selector={"pool": "!..."}."""
    selector = [("pool", LABEL_OPERATOR_NOT_IN, [pool])]
    return [ResourceRequestUtil.make({"GPU": 1, "CPU": 1}, label_selectors=[selector])] * jobs


def launched(cluster, **requests):
    """Node type -> nodes that Ray's own autoscaler would start."""
    config = AutoscalingConfig(cluster, skip_content_hash=True)
    request = SchedulingRequest(
        disable_launch_config_check=True,
        node_type_configs=config.get_node_type_configs(),
        max_num_nodes=config.get_max_num_worker_nodes(),
        **requests,
    )
    reply = ResourceDemandScheduler(None).schedule(request)
    assert not reply.infeasible_resource_requests and not reply.infeasible_gang_resource_requests
    return {node.instance_type: node.count for node in reply.to_launch}


def test_cluster_passes_the_checks_of_ray_up(cluster):
    validate_config(prepare_config(cluster))


def test_cluster_with_an_unknown_key_fails_the_checks_of_ray_up(cluster):
    with pytest.raises(Exception, match="idle_minutes"):
        validate_config(prepare_config(cluster | {"idle_minutes": 10}))


def test_head_offers_no_cpu_and_stays_on_demand(cluster):
    head = cluster["available_node_types"][cluster["head_node_type"]]
    assert head["resources"] == {"CPU": 0}
    assert "InstanceMarketOptions" not in head["node_config"]


def test_sessions_are_spot_nodes_and_pretraining_is_not(cluster):
    types = cluster["available_node_types"]
    assert types["sessions"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert "InstanceMarketOptions" not in types["pretraining"]["node_config"]
    assert types["pretraining"]["resources"]["GPU"] > types["sessions"]["resources"]["GPU"] == 1


def test_pools_start_from_nothing_and_fit_under_the_limit(cluster):
    pools = [cluster["available_node_types"][name] for name in ("pretraining", "sessions")]
    assert all(pool["min_workers"] == 0 for pool in pools)
    assert sum(pool["max_workers"] for pool in pools) == cluster["max_workers"]
    assert cluster["idle_timeout_minutes"] == 10


def test_jobs_of_one_session_start_spot_nodes_alone(cluster):
    requests = ResourceRequestUtil.group_by_count(outside("pretraining", jobs=8))
    assert launched(cluster, resource_requests=requests) == {"sessions": 8}


def test_pretraining_starts_the_node_of_several_gpus_alone(cluster):
    workers = GangResourceRequest(requests=outside("sessions", jobs=4))
    assert launched(cluster, gang_resource_requests=[workers]) == {"pretraining": 1}


def test_nodes_get_their_role_and_only_ssh_is_open_to_the_outside(cluster, tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("HOME", str(tmp_path))  # where Ray writes the key that it makes
    (tmp_path / ".ssh").mkdir()
    with moto.mock_aws():
        for profile in ("raydistill-head", "raydistill-node"):
            boto3.client("iam").create_instance_profile(InstanceProfileName=profile)
        made = bootstrap_aws(prepare_config(cluster))["available_node_types"]
        (group,) = {group for node in made.values() for group in node["node_config"]["SecurityGroupIds"]}
        client = boto3.client("ec2", region_name=cluster["provider"]["region"])
        rules = client.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    roles = {name: node["node_config"]["IamInstanceProfile"]["Name"] for name, node in made.items()}
    assert roles == {"head": "raydistill-head", "pretraining": "raydistill-node", "sessions": "raydistill-node"}
    assert [(rule["FromPort"], rule["ToPort"]) for rule in rules if rule["IpRanges"] or rule["Ipv6Ranges"]] == [
        (22, 22)
    ]


def test_every_package_is_the_one_of_the_lock_file(cluster):
    commands = cluster["setup_commands"] + cluster["head_setup_commands"]
    installs = [command for command in commands if " install " in command]
    assert installs and all("--constraint ~/raydistill/constraints.txt" in command for command in installs)
    assert "pip install boto3 -c constraints.txt" in TEXT
    assert re.findall(r"astral.sh/uv/([\d.]+)/install.sh", TEXT) == ["0.13.8"]


def test_every_node_starts_ray_with_the_token(cluster):
    for commands in (cluster["head_start_ray_commands"], cluster["worker_start_ray_commands"]):
        (start,) = [command for command in commands if "ray start" in command]
        assert "RAY_AUTH_MODE=token ray start" in start
    assert cluster["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "chmod 600 ~/.ray/auth_token" in cluster["setup_commands"]
    assert any("export RAY_AUTH_MODE=token" in command for command in cluster["setup_commands"])
    assert "--dashboard-host=127.0.0.1" in cluster["head_start_ray_commands"][-1]


def test_mounted_files_exist_and_hold_what_the_build_reads(cluster):
    inside = [path for path in cluster["file_mounts"].values() if not path.startswith("~")]
    assert {"raydistill", "pyproject.toml", "README.md", "LICENSE", "constraints.txt"} <= set(inside)
    assert [path for path in inside if not (ROOT / path).exists()] == []
    assert any("--editable ~/raydistill" in command for command in cluster["setup_commands"])


def test_text_holds_no_secret():
    assert not re.search(r"AKIA[0-9A-Z]{16}|secret_access_key\s*[=:]|BEGIN [A-Z ]*PRIVATE KEY|\b[0-9a-f]{32,}\b", TEXT)
