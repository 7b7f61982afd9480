package org.meritrec.bridge;

/** What a carrier tells of its links; returns at once. */
public interface LinkListener {
    /** Somebody opened a link to this device. */
    void linkOpened(String link);

    /** A frame arrived. */
    void received(String link, byte[] frame);

    /** A link is gone. */
    void linkClosed(String link);
}
