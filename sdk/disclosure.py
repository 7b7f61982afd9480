"""What peers are told: the person's choice, everything that was and will be published, and taking it back."""

from __future__ import annotations

from sdk.opened import OpenDevice
from sdk.publication import Publication
from sdk.sharing import SharingPolicy


class Disclosure:
    """A part of `Recommender`: what leaves the device."""

    _device: OpenDevice

    @property
    def sharing(self) -> SharingPolicy:
        """The policy that holds: the person's last choice in this community, or else the app's configuration."""
        with self._device.locked():
            return self._device.publisher.policy

    def set_sharing(self, policy: SharingPolicy) -> Publication:
        """Choose what is shared in this community, durably. Nothing is sent before `publish` or the next `connect`.

        Returns:
            What has been published so far, and what would be now.

        Raises:
            InvalidInput: the policy names a category that the catalog does not have: it would protect nothing.
        """
        with self._device.locked():
            self._device.share(policy)
            return self.shared()

    def shared(self) -> Publication:
        """Return exactly what has been published, what `publish` would make of it, and why the rest is held back."""
        device = self._device
        with device.locked():
            return device.publisher.report(device.private())

    def shared_now(self) -> dict[str, int]:
        """Return how many items and vouches the sharing policy would publish now."""
        content = self.shared().would_publish
        return {"items": len(content.items), "vouches": len(content.vouches)}

    def withdraw(self) -> bool:
        """Take everything back: be private from now on, and publish an empty record in place of what was published.

        Peers drop what they held when they receive it; nobody can be made to forget what was read before.

        Returns:
            Whether nothing is published any more. If not, the device is not connected, and the empty record goes out at
            the next `connect`, also after a restart.
        """
        device = self._device
        with device.network_lock:
            device.share(SharingPolicy.PRIVATE)
            if device.network.connected:
                device.publish()
            return not self.shared().pending
