using System.ComponentModel;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Platform.Messaging.Durability;

/// <summary>
/// The one way to make a file's bytes durable. <c>FileStream.Flush(true)</c> of .NET 10 returns normally when fsync answers EIO or ENOSPC:
/// its native call answers 1, the managed side asks for less than 0. Here everything but 0 is a failure.
/// </summary>
public static class DurableFile
{
    private const int ReadOnlyCloseOnExec = 0x10;

    /// <summary>Returns only when the kernel says that the file's bytes are on the disk.</summary>
    /// <exception cref="IOException">fsync failed: what was written must not be acknowledged. Another fsync of the same file may wrongly succeed.</exception>
    public static void Flush(SafeFileHandle file, string name)
    {
        if (NativeMethods.FSync(file) != 0) { throw Failure($"{name} could not be made durable"); }
    }

    /// <summary>Makes names durable: a new, renamed or removed file survives a power cut only when its folder was synced.</summary>
    /// <exception cref="IOException"/>
    public static void FlushFolder(string folder)
    {
        using var handle = NativeMethods.Open(Encoding.UTF8.GetBytes(folder + '\0'), ReadOnlyCloseOnExec, 0);
        if (handle.IsInvalid) { throw Failure($"Folder {folder} could not be opened"); }
        Flush(handle, folder);
    }

    /// <summary>Replaces a file as a whole: after a crash it has its old bytes or the new ones, and after this returns the new ones.</summary>
    /// <param name="temporary">In the same file system; overwritten where a crash left it.</param>
    /// <exception cref="IOException"/>
    public static void Replace(string path, string temporary, ReadOnlySpan<byte> bytes)
    {
        try
        {
            Write(path, temporary, bytes);
            File.Move(temporary, path, overwrite: true);
        }
        catch (IOException)
        {
            File.Delete(temporary);
            throw;
        }

        FlushFolder(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }

    /// <summary>Makes a file as a whole. False: it is there already, and stays as it is.</summary>
    /// <param name="temporary">In the same file system; overwritten where a crash left it.</param>
    /// <exception cref="IOException"/>
    public static bool Create(string path, string temporary, ReadOnlySpan<byte> bytes)
    {
        try
        {
            Write(path, temporary, bytes);

            // Of several only one can link. File.Move without overwriting looks first and then renames, so that the last one would stay.
            if (NativeMethods.Link(Encoding.UTF8.GetBytes(temporary + '\0'), Encoding.UTF8.GetBytes(path + '\0')) != 0)
            {
                if (File.Exists(path)) { return false; }

                // A file system without links.
                File.Move(temporary, path, overwrite: false);
            }
        }
        finally { File.Delete(temporary); }

        FlushFolder(Path.GetDirectoryName(Path.GetFullPath(path))!);
        return true;
    }

    private static void Write(string path, string temporary, ReadOnlySpan<byte> bytes)
    {
        using var file = File.OpenHandle(temporary, FileMode.Create, FileAccess.Write);
        RandomAccess.Write(file, bytes, 0);
        Flush(file, path);
    }

    private static IOException Failure(string what) => new($"{what}: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}.");

    private static class NativeMethods
    {
        [DllImport("libSystem.Native", EntryPoint = "SystemNative_FSync", SetLastError = true)]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int FSync(SafeFileHandle file);

        [DllImport("libSystem.Native", EntryPoint = "SystemNative_Link", SetLastError = true)]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int Link(byte[] source, byte[] target);

        [DllImport("libSystem.Native", EntryPoint = "SystemNative_Open", SetLastError = true)]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern SafeFileHandle Open(byte[] path, int flags, int mode);
    }
}
