package org.pytorch.executorch;

import java.io.Closeable;
import java.io.File;
import java.util.Arrays;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Module.kt of executorch 1.5 as Java sees it, as far as it is used: static `load` with defaults, a lock around
 * everything, exceptions after `destroy`. What the library computes comes from `runtime`.
 */
public class Module implements Closeable {
    public static final int LOAD_MODE_FILE = 0;
    public static final int LOAD_MODE_MMAP = 1;

    /** The test's. */
    public static ProgramRunner runtime;

    private final ReentrantLock lock = new ReentrantLock();
    private Long program;
    private Tensor[] last = {};

    private Module(String path, int loadMode, int numThreads) {
        if (runtime == null) {
            throw new UnsatisfiedLinkError("couldn't find DSO to load: libexecutorch.so");
        }
        program = runtime.open(path, loadMode, numThreads);
    }

    public static Module load(String modelPath) {
        return load(modelPath, LOAD_MODE_FILE, 0);
    }

    public static Module load(String modelPath, int loadMode) {
        return load(modelPath, loadMode, 0);
    }

    public static Module load(String modelPath, int loadMode, int numThreads) {
        if (modelPath == null || !new File(modelPath).isFile()) {
            throw new IllegalArgumentException("Cannot load model path: path does not exist: " + modelPath);
        }
        return new Module(modelPath, loadMode, numThreads);
    }

    public String[] getMethods() {
        lock.lock();
        try {
            return runtime.methods(valid());
        } finally {
            lock.unlock();
        }
    }

    public void loadMethod(String methodName) {
        lock.lock();
        try {
            runtime.load(valid(), methodName);
        } finally {
            lock.unlock();
        }
    }

    public EValue[] execute(String methodName, EValue... inputs) {
        lock.lock();
        try {
            long valid = valid();
            for (Tensor tensor : last) {
                tensor.overwrite();
            }
            last = runtime.execute(valid, methodName, Arrays.stream(inputs).map(EValue::toTensor).toArray(Tensor[]::new));
            return Arrays.stream(last).map(EValue::from).toArray(EValue[]::new);
        } finally {
            lock.unlock();
        }
    }

    public void destroy() {
        if (!lock.tryLock()) {
            throw new IllegalStateException("Cannot destroy module while method is executing");
        }
        try {
            if (program != null) {
                runtime.close(program);
            }
            program = null;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void close() {
        destroy();
    }

    private long valid() {
        if (program == null) {
            throw new IllegalStateException("Module has been destroyed");
        }
        return program;
    }
}
