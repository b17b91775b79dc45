"""All families by name: each makes one case of a random generator, in a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping

from tests.attack import command_cases, document_cases, media_cases
from tests.attack.runner import Family

FAMILIES: Mapping[str, Family] = {
    "pictures": media_cases.picture,
    "videos": media_cases.video,
    "sounds": media_cases.sound,
    "pipes": media_cases.piped,
    "special": media_cases.special,
    "manifests": document_cases.manifest,
    "no-bundles": document_cases.record,
    "bundle-files": document_cases.bundle_files,
    "landmarks": document_cases.landmarks,
    "profiles": document_cases.profile,
    "options": command_cases.option,
    "speech": command_cases.speech,
    "outputs": command_cases.output,
    "reports": command_cases.report,
    "surroundings": command_cases.surroundings,
    "networks": command_cases.network,
}
