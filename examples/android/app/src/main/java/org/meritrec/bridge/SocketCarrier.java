package org.meritrec.bridge;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.Closeable;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Carries frames over TCP: for devices on one Wi-Fi, or to one that can be reached. Addresses are {@code host:port}.
 *
 * <p>A frame is its length in four bytes, big-endian, and its content. Whoever announces a longer one than frames are, or
 * does not read what it is sent, is hung up on. Every link has a thread that reads and one that writes, so that the SDK
 * never waits for the network; at most {@link #MAX_LINKS} links are open.
 */
public final class SocketCarrier implements FrameCarrier, Closeable {
    static final int MAX_LINKS = 64;
    private static final int CONNECT_MS = 10_000;
    private static final int MAX_WAITING = 256; // frames; 8 MiB for a link whose other end does not read

    private final ServerSocket server;
    private final Map<String, Link> links = new ConcurrentHashMap<>();
    private final AtomicLong numbers = new AtomicLong();
    private volatile LinkListener listener;

    /** Listens on a local address; port 0 takes a free one. Nothing is accepted before {@link #start}. */
    public SocketCarrier(InetAddress address, int port) throws IOException {
        server = new ServerSocket(port, MAX_LINKS, address);
    }

    /** Where others dial. */
    public String address() {
        return server.getInetAddress().getHostAddress() + ":" + server.getLocalPort();
    }

    /** Begins to accept links, and tells {@code told} of them and of what arrives. */
    public void start(LinkListener told) {
        listener = told;
        daemon("meritrec-accept", this::accept).start();
    }

    @Override
    public String open(String address) throws IOException {
        InetSocketAddress where = parsed(address);
        Socket socket = new Socket();
        try {
            socket.connect(where, CONNECT_MS);
            Link link = new Link(socket);
            link.begin();
            return link.name;
        } catch (IOException error) {
            quietly(socket);
            throw error;
        }
    }

    @Override
    public void send(String link, byte[] frame) throws IOException {
        Link found = links.get(link);
        if (found == null) {
            throw new IOException("the link is closed");
        }
        if (!found.waiting.offer(frame)) {
            close(link);
            throw new IOException("the other end does not read what it is sent");
        }
    }

    @Override
    public void close(String link) {
        Link found = links.remove(link);
        if (found != null) {
            quietly(found.socket);
            found.writer.interrupt();
        }
    }

    /** Stops to listen and closes all links. */
    @Override
    public void close() {
        quietly(server);
        links.keySet().forEach(this::close);
    }

    private void accept() {
        while (!server.isClosed()) {
            Socket socket;
            try {
                socket = server.accept();
            } catch (IOException error) {
                if (!patient()) { // closed, the caller is gone again, or there are too many open files just now
                    return;
                }
                continue;
            }
            try {
                Link link = new Link(socket);
                listener.linkOpened(link.name);
                link.begin();
            } catch (IOException | RuntimeException error) {
                quietly(socket);
            }
        }
    }

    private static boolean patient() {
        try {
            Thread.sleep(100);
            return true;
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            return false;
        }
    }

    private static InetSocketAddress parsed(String address) throws IOException {
        int colon = address.lastIndexOf(':');
        try {
            return new InetSocketAddress(address.substring(0, colon), Integer.parseInt(address.substring(colon + 1)));
        } catch (IndexOutOfBoundsException | IllegalArgumentException error) {
            throw new IOException("an address is host:port, not " + address, error);
        }
    }

    private static Thread daemon(String name, Runnable work) {
        Thread thread = new Thread(work, name);
        thread.setDaemon(true);
        return thread;
    }

    private static void quietly(Closeable closeable) {
        try {
            closeable.close();
        } catch (IOException error) {
            // it is gone, which is what was wanted
        }
    }

    /** One open socket. */
    private final class Link {
        final String name = "tcp-" + numbers.incrementAndGet();
        final Socket socket;
        final BlockingQueue<byte[]> waiting = new ArrayBlockingQueue<>(MAX_WAITING);
        final Thread writer;
        private final DataInputStream in;
        private final DataOutputStream out;

        Link(Socket socket) throws IOException {
            if (links.size() >= MAX_LINKS) {
                throw new IOException(MAX_LINKS + " links are open already");
            }
            this.socket = socket;
            socket.setTcpNoDelay(true);
            in = new DataInputStream(new BufferedInputStream(socket.getInputStream()));
            out = new DataOutputStream(new BufferedOutputStream(socket.getOutputStream()));
            writer = daemon("meritrec-write-" + name, this::write);
            links.put(name, this);
            writer.start();
        }

        void begin() {
            daemon("meritrec-read-" + name, this::read).start();
        }

        private void write() {
            try {
                while (true) {
                    byte[] frame = waiting.take();
                    out.writeInt(frame.length);
                    out.write(frame);
                    if (waiting.isEmpty()) {
                        out.flush();
                    }
                }
            } catch (IOException | InterruptedException error) {
                gone();
            }
        }

        private void read() {
            try {
                while (true) {
                    int length = in.readInt();
                    if (length < 0 || length > MAX_FRAME_BYTES) {
                        throw new IOException("a frame of " + length + " bytes");
                    }
                    byte[] frame = new byte[length];
                    in.readFully(frame);
                    listener.received(name, frame);
                }
            } catch (IOException error) {
                gone();
            }
        }

        private void gone() {
            if (links.remove(name) != null) { // else the SDK closed it, and knows
                quietly(socket);
                writer.interrupt();
                listener.linkClosed(name);
            }
        }
    }
}
