package org.meritrec.bridge;

import java.io.IOException;

/**
 * Carries frames of the peer network over whatever the app has: sockets, Nearby Connections, a relay of its own.
 *
 * <p>A link carries frames of at most {@link #MAX_FRAME_BYTES} bytes whole and in order, between two devices. It need not
 * be secret or authentic: what goes over it is encrypted, and both ends prove who they are. Called from threads of the
 * SDK, which wait meanwhile.
 */
public interface FrameCarrier {
    int MAX_FRAME_BYTES = 32 * 1024;

    /**
     * Opens a link to an address, in whatever form this carrier understands.
     *
     * @return a name for the link that no other link has or had
     * @throws IOException nobody is there
     */
    String open(String address) throws IOException;

    /**
     * Carries a frame to the other end.
     *
     * @throws IOException the link is gone
     */
    void send(String link, byte[] frame) throws IOException;

    /** Closes a link; harmless if it is gone. */
    void close(String link);
}
