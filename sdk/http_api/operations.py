"""What each operation does with the Recommender: checked values in, JSON out. They run on threads, many at once."""

from __future__ import annotations

from p2p.prometheus import render as network_text
from sdk import wishes
from sdk.errors import NotConnected
from sdk.filters import Filters
from sdk.http_api.problems import Problem, disk_full
from sdk.http_api.prometheus import device_text
from sdk.http_api.route import Call, Json
from sdk.recommender import Recommender
from sdk.sharing import SharingPolicy
from sdk.store import BLOCKED

_RANKING = ("k", "source", "exclude_seen", "diversity", "explore")
_FILTERS = {
    "category": "categories",
    "not_category": "not_categories",
    "item": "items",
    "not_item": "not_items",
    "available": "available",
}


def record_events(me: Recommender, call: Call) -> Json:
    """Store events, all of them or none."""
    events = [(e["item"], e.get("action", "like"), e.get("at")) for e in call.body["events"]]
    me.record_many(events)
    return {"recorded": len(events)}


def forget_item(me: Recommender, call: Call) -> Json:
    """Remove what the person did with one item."""
    return me.forget(call.path["id"]).as_json()


def forget_everything(me: Recommender, _call: Call) -> Json:
    """Remove the whole history, all opinions and blocked items."""
    return me.forget(everything=True).as_json()


def export(me: Recommender, _call: Call) -> Json:
    """Hand out all that the device holds about the person."""
    return me.export_my_data()


def recommendations(me: Recommender, call: Call) -> Json:
    """Rank."""
    asked = {name: call.query[name] for name in _RANKING if name in call.query}
    picks = me.recommend(
        filters=_filters(call),
        ask=wishes.asked("ask", call.query.get("ask", ())),
        priors=wishes.weighted("prior", call.query.get("prior", ())),
        **asked,
    )
    return {"recommendations": [pick.as_json() for pick in picks]}


def steerable(me: Recommender, _call: Call) -> Json:
    """Say what a ranking may be asked for."""
    return me.steerable().as_json()


def filtered(me: Recommender, call: Call) -> Json:
    """Say what the ranking kept out."""
    return {"filtered": [item.as_json() for item in me.filtered(call.query.get("k", 20), filters=_filters(call))]}


def similar(me: Recommender, call: Call) -> Json:
    """Find items like one."""
    picks = me.similar(call.path["id"], call.query.get("k", 10), filters=_filters(call))
    return {"recommendations": [pick.as_json() for pick in picks]}


def reasons(me: Recommender, call: Call) -> Json:
    """Explain one item."""
    return {"reasons": [reason.as_json() for reason in me.explain(call.path["id"])]}


def vouches(me: Recommender, _call: Call) -> Json:
    """List whom the person vouches for."""
    return {
        "vouches": [{"peer": o.peer.hex(), "level": o.level, "at": o.at} for o in me.opinions() if o.level != BLOCKED]
    }


def vouch(me: Recommender, call: Call) -> Json:
    """Trust a peer."""
    me.vouch(_peer(call), call.body["level"])


def unvouch(me: Recommender, call: Call) -> Json:
    """Take a vouch back."""
    _take_back(me, _peer(call), blocked=False)


def blocks(me: Recommender, _call: Call) -> Json:
    """List whom the person cut off."""
    return {"blocks": [{"peer": o.peer.hex(), "at": o.at} for o in me.opinions() if o.level == BLOCKED]}


def block(me: Recommender, call: Call) -> Json:
    """Cut a peer off."""
    me.block(_peer(call))


def unblock(me: Recommender, call: Call) -> Json:
    """Take a block back."""
    _take_back(me, _peer(call), blocked=True)


def blocked_items(me: Recommender, _call: Call) -> Json:
    """List items that are never shown."""
    return {"items": me.blocked_items()}


def block_item(me: Recommender, call: Call) -> Json:
    """Never show an item again."""
    me.block_item(call.path["id"])


def unblock_item(me: Recommender, call: Call) -> Json:
    """Show an item again."""
    if not me.unblock_item(call.path["id"]):
        raise Problem(404, "no-block", "this item is not blocked")


def about_me(me: Recommender, _call: Call) -> Json:
    """Say who this device is and how much it holds."""
    levels = [opinion.level for opinion in me.opinions()]
    return {
        "peer": me.peer_id.hex(),
        "addresses": me.addresses,
        "namespace": me.namespace,
        "events": me.count_events(),
        "records": me.count_records(),
        "vouches": len(levels) - levels.count(BLOCKED),
        "blocks": levels.count(BLOCKED),
        "blocked_items": len(me.blocked_items()),
        "trusted": len(me.trusted_peers()),
    }


def trust(me: Recommender, call: Call) -> Json:
    """Draw the trust graph around the person."""
    return me.trust_graph(call.query.get("limit", 100)).as_json()


def sharing(me: Recommender, _call: Call) -> Json:
    """Show the policy."""
    return me.sharing.as_json()


def set_sharing(me: Recommender, call: Call) -> Json:
    """Choose the policy."""
    return me.set_sharing(SharingPolicy.from_json(call.body)).as_json()


def published(me: Recommender, _call: Call) -> Json:
    """Show what is told, what would be, and what is held back."""
    return me.shared().as_json()


def withdraw(me: Recommender, _call: Call) -> Json:
    """Take everything back."""
    return {"withdrawn": me.withdraw()}


def publish(me: Recommender, _call: Call) -> Json:
    """Tell peers what the policy allows."""
    return {"published": me.publish()}


def model(me: Recommender, _call: Call) -> Json:
    """Describe the model."""
    return me.model.as_json()


def update(me: Recommender, call: Call) -> Json:
    """Install a newer model or an update of the catalog."""
    given = call.body
    try:
        if "peer" in given:
            return me.update(bytes.fromhex(given["peer"])).as_json()
        return me.update(given["source"], sha256=given.get("sha256")).as_json()
    except OSError as error:
        if disk_full(error):
            raise
        raise Problem(404, "no-bundle", f"there is no bundle to be read at this path: {error.strerror}") from error


def rollback(me: Recommender, _call: Call) -> Json:
    """Go back to the model before."""
    return me.rollback().as_json()


def metrics(me: Recommender, _call: Call) -> Json:
    """Count and time."""
    return me.metrics().as_json()


def prometheus(me: Recommender, _call: Call) -> Json:
    """The same as Prometheus' text."""
    text = device_text(me.metrics())
    try:
        return text + network_text(me.network_status())
    except NotConnected:
        return text


def health(me: Recommender, _call: Call) -> Json:
    """Show that the device answers."""
    me.count_events()
    return {"status": "ok"}


def _peer(call: Call) -> bytes:
    return bytes.fromhex(call.path["peer"])


def _filters(call: Call) -> Filters | None:
    given = {ours: call.query[name] for name, ours in _FILTERS.items() if name in call.query}
    return Filters(**given) if given else None


def _take_back(me: Recommender, peer: bytes, *, blocked: bool) -> None:
    said = next((o.level for o in me.opinions() if o.peer == peer), None)
    if said is None or (said == BLOCKED) is not blocked or not me.unvouch(peer):
        what = "block" if blocked else "vouch"
        raise Problem(404, f"no-{what}", f"there is no {what} of this peer to take back")
