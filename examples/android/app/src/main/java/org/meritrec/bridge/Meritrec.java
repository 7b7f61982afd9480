package org.meritrec.bridge;

import com.chaquo.python.PyObject;
import com.chaquo.python.Python;

/**
 * A device of the SDK: {@code sdk/android.py}, reached through Chaquopy. Only text, bytes and whole numbers cross.
 *
 * <p>{@link #call} never throws for what the SDK refuses; it returns {@code {"ok": …}} or {@code {"error": {"kind": …,
 * "message": …}}}. Calls block: keep them off the main thread. They may come from any thread.
 */
public final class Meritrec implements LinkListener, AutoCloseable {
    private final PyObject sdk;
    private final long device;

    /** Makes a device that is not open yet. {@code carrier} may be null: then it cannot connect to peers. */
    public Meritrec(FrameCarrier carrier) {
        sdk = Python.getInstance().getModule("sdk.android");
        device = sdk.callAttr("new_device", carrier).toLong();
    }

    /**
     * Does what {@code name} says.
     *
     * @param name {@code open}, {@code close}, or a call of {@code sdk/android_calls.py} such as {@code recommend}
     * @param arguments a JSON object
     * @return JSON
     */
    public String call(String name, String arguments) {
        return sdk.callAttr("call", device, name, arguments).toString();
    }

    @Override
    public void linkOpened(String link) {
        sdk.callAttr("link_opened", device, link);
    }

    @Override
    public void received(String link, byte[] frame) {
        sdk.callAttr("received", device, link, frame);
    }

    @Override
    public void linkClosed(String link) {
        sdk.callAttr("link_closed", device, link);
    }

    @Override
    public void close() {
        call("close", "{}");
    }
}
