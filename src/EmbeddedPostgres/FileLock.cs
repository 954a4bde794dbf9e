using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Platform.EmbeddedPostgres;

/// <summary>An advisory lock on a file (flock(2)); the kernel drops it when the process dies, however it dies.</summary>
internal sealed partial class FileLock : IDisposable
{
    private const int Shared = 1;
    private const int Exclusive = 2;
    private const int NonBlocking = 4;

    private readonly SafeFileHandle handle;

    private FileLock(SafeFileHandle handle) => this.handle = handle;

    /// <summary>Waits for the lock that one process holds while it starts or stops the server.</summary>
    /// <exception cref="ClusterException">Somebody held it for longer than <paramref name="patience"/>.</exception>
    public static async Task<FileLock> TakeExclusive(string path, TimeSpan patience, CancellationToken cancellation)
    {
        var taken = Open(path);
        var deadline = Environment.TickCount64 + (long)patience.TotalMilliseconds;
        while (!taken.Try(Exclusive))
        {
            if (Environment.TickCount64 > deadline)
            {
                taken.Dispose();
                throw new ClusterException($"Another process has been starting or stopping the database for {patience.TotalSeconds:0} s (lock {path}). Wait for it, or end it.");
            }

            await Task.Delay(20, cancellation);
        }

        return taken;
    }

    /// <summary>Says "I use the server" for as long as the process lives.</summary>
    public static FileLock TakeShared(string path)
    {
        var taken = Open(path);
        return taken.Try(Shared) ? taken : throw new ClusterException($"The database is being stopped by another process (lock {path}). Try again.");
    }

    /// <summary>Turns a shared lock into an exclusive one: true when nobody else uses the server. Called under the start lock only.</summary>
    public bool TryUpgrade()
    {
        // flock(2): a failed conversion has given the old lock up, so it is taken again; the start lock keeps others from slipping in.
        if (Try(Exclusive)) { return true; }
        Try(Shared);
        return false;
    }

    public void Dispose() => handle.Dispose();

    private static FileLock Open(string path)
    {
        // FileShare.ReadWrite keeps the runtime's own flock shared and out of our way: on this handle ours is the only one.
        var fd = OpenFile(path, OpenReadWrite | OpenCreate | OpenCloseOnExec, 0x1A4 /* 0644 */);
        return fd >= 0
            ? new FileLock(new SafeFileHandle(fd, ownsHandle: true))
            : throw new ClusterException($"Cannot open {path}: {Marshal.GetLastPInvokeErrorMessage()}. Check who owns the data folder.");
    }

    private const int OpenReadWrite = 2;
    private const int OpenCreate = 0x40;
    private const int OpenCloseOnExec = 0x80000;

    private bool Try(int operation) => Flock((int)handle.DangerousGetHandle(), operation | NonBlocking) == 0;

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Flock(int fd, int operation);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int OpenFile(string path, int flags, int mode);
}
