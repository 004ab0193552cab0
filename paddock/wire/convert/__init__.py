"""The one place that turns protobuf into the model and back: parse at the edge, trust inside.

`x_from_wire` checks everything that came: InvalidRequest and Unsupported name the field's path.
`x_to_wire` trusts the model.
"""

from paddock.wire.convert.commands import (
    command_from_wire,
    command_to_wire,
    environment_from_wire,
    kill_policy_from_wire,
    kill_policy_to_wire,
    limits_from_wire,
    limits_to_wire,
)
from paddock.wire.convert.container_info import (
    container_info_from_wire,
    container_info_to_wire,
    container_type_to_wire,
)
from paddock.wire.convert.containers import (
    ContainerUpdate,
    StandaloneLaunch,
    WaitUntil,
    container_id_from_wire,
    container_id_to_wire,
    container_state_from_wire,
    container_to_wire,
    container_update_from_wire,
    effective_limit_from_wire,
    effective_limit_to_wire,
    standalone_launch_from_wire,
    termination_from_wire,
    termination_to_wire,
)
from paddock.wire.convert.evidence import (
    disk_from_wire,
    disk_to_wire,
    evidence_from_wire,
    evidence_to_wire,
)
from paddock.wire.convert.offer_writer import OfferWriter, embedded
from paddock.wire.convert.offers import (
    filters_from_wire,
    filters_to_wire,
    offer_from_wire,
    offer_to_wire,
    unavailability_from_wire,
    unavailability_to_wire,
)
from paddock.wire.convert.operations import (
    operation_from_wire,
    operation_to_wire,
    operations_from_wire,
)
from paddock.wire.convert.parties import (
    agent_info_from_wire,
    agent_info_to_wire,
    domain_from_wire,
    domain_to_wire,
    framework_info_from_wire,
    framework_info_to_wire,
    master_info_from_wire,
    master_info_to_wire,
)
from paddock.wire.convert.resources import (
    attributes_from_wire,
    attributes_to_wire,
    resources_from_wire,
    resources_to_wire,
)
from paddock.wire.convert.statistics import (
    fill_statistics,
    statistics_from_wire,
    statistics_to_wire,
)
from paddock.wire.convert.statuses import (
    reason_to_wire,
    task_state_from_wire,
    task_state_to_wire,
    task_status_from_wire,
    task_status_to_wire,
    uuid_from_wire,
)
from paddock.wire.convert.tasks import (
    task_info_from_wire,
    task_info_to_wire,
    task_infos_from_wire,
)
from paddock.wire.convert.volumes import (
    agent_volumes_from_wire,
    agent_volumes_to_wire,
    destroy_ids_from_wire,
    volume_key_from_wire,
    volume_key_to_wire,
    volumes_found_from_wire,
    volumes_found_to_wire,
)

__all__ = [
    "ContainerUpdate",
    "OfferWriter",
    "StandaloneLaunch",
    "WaitUntil",
    "agent_info_from_wire",
    "agent_info_to_wire",
    "agent_volumes_from_wire",
    "agent_volumes_to_wire",
    "attributes_from_wire",
    "attributes_to_wire",
    "command_from_wire",
    "command_to_wire",
    "container_id_from_wire",
    "container_id_to_wire",
    "container_info_from_wire",
    "container_info_to_wire",
    "container_state_from_wire",
    "container_to_wire",
    "container_type_to_wire",
    "container_update_from_wire",
    "destroy_ids_from_wire",
    "disk_from_wire",
    "disk_to_wire",
    "domain_from_wire",
    "domain_to_wire",
    "effective_limit_from_wire",
    "effective_limit_to_wire",
    "embedded",
    "environment_from_wire",
    "evidence_from_wire",
    "evidence_to_wire",
    "fill_statistics",
    "filters_from_wire",
    "filters_to_wire",
    "framework_info_from_wire",
    "framework_info_to_wire",
    "kill_policy_from_wire",
    "kill_policy_to_wire",
    "limits_from_wire",
    "limits_to_wire",
    "master_info_from_wire",
    "master_info_to_wire",
    "offer_from_wire",
    "offer_to_wire",
    "operation_from_wire",
    "operation_to_wire",
    "operations_from_wire",
    "reason_to_wire",
    "resources_from_wire",
    "resources_to_wire",
    "standalone_launch_from_wire",
    "statistics_from_wire",
    "statistics_to_wire",
    "task_info_from_wire",
    "task_info_to_wire",
    "task_infos_from_wire",
    "task_state_from_wire",
    "task_state_to_wire",
    "task_status_from_wire",
    "task_status_to_wire",
    "termination_from_wire",
    "termination_to_wire",
    "unavailability_from_wire",
    "unavailability_to_wire",
    "uuid_from_wire",
    "volume_key_from_wire",
    "volume_key_to_wire",
    "volumes_found_from_wire",
    "volumes_found_to_wire",
]
