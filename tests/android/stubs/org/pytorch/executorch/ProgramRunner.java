package org.pytorch.executorch;

/** What stands behind the stub instead of libexecutorch.so: the test's, which runs programs in the native session. */
public interface ProgramRunner {
    /** Reads the file now, as ExecuTorch opens it now; returns a number for the program. */
    long open(String path, int loadMode, int numThreads);

    String[] methods(long program);

    void load(long program, String method);

    Tensor[] execute(long program, String method, Tensor[] inputs);

    void close(long program);
}
