using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Platform.Capabilities.Scripts;

/// <summary>A job's own folder in the tier without namespaces: owned by the job's uid, below a parent that nobody else can list.</summary>
internal static partial class JobFolder
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    public static string Create(string root, uint? uid)
    {
        Prepare(root);
        var folder = Path.Combine(root, $"{Environment.ProcessId}-{RandomNumberGenerator.GetHexString(32, lowercase: true)}");
        Directory.CreateDirectory(folder, Private);
        Give(folder, uid);
        return folder;
    }

    public static string Temporary(string folder, uint? uid)
    {
        var path = Path.Combine(folder, "tmp");
        Directory.CreateDirectory(path, Private);
        Give(path, uid);
        return path;
    }

    public static void Put(string folder, string name, byte[] content, uint? uid)
    {
        var path = Path.Combine(folder, name);
        File.WriteAllBytes(path, content);
        Give(path, uid);
    }

    /// <summary>After the last process of the job has gone. Links are removed, not followed.</summary>
    public static void Delete(string folder)
    {
        try
        {
            Directory.Delete(folder, recursive: true);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            // A script without a uid of its own can make a folder that its owner cannot list.
            Open(folder, depth: 0);
            try { Directory.Delete(folder, recursive: true); }
            catch (Exception again) when (again is IOException or UnauthorizedAccessException)
            {
                // It stays for the next start: DeleteStale.
            }
        }
    }

    /// <summary>Folders of servers that are gone.</summary>
    public static void DeleteStale(string root)
    {
        if (!Directory.Exists(root)) { return; }
        foreach (var folder in Directory.EnumerateDirectories(root))
        {
            var owner = Path.GetFileName(folder).Split('-')[0];
            if (int.TryParse(owner, out var pid) && pid != Environment.ProcessId && !Directory.Exists($"/proc/{pid}")) { Delete(folder); }
        }
    }

    private static void Prepare(string root)
    {
        // With a uid of its own a job passes through the parent, whose entries it can neither list nor guess.
        var mode = Environment.IsPrivilegedProcess ? Private | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute : Private;
        Directory.CreateDirectory(root, mode);
        if (new DirectoryInfo(root).LinkTarget is not null) { throw new IOException($"{root} is a link: scripts would work where it points to."); }

        // Both fail if another user made it first.
        File.SetUnixFileMode(root, mode);
        if (Environment.IsPrivilegedProcess) { Give(root, 0); }
    }

    private static void Open(string folder, int depth)
    {
        const int deepest = 64;
        if (depth > deepest) { return; }
        try
        {
            File.SetUnixFileMode(folder, Private);
            foreach (var below in new DirectoryInfo(folder).EnumerateDirectories().Where(below => below.LinkTarget is null)) { Open(below.FullName, depth + 1); }
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            // Delete reports by leaving it.
        }
    }

    private static void Give(string path, uint? uid)
    {
        if (uid is { } owner && ChangeOwner(path, owner, owner) != 0) { throw new IOException($"{path} cannot be given to uid {owner}: {Marshal.GetLastPInvokeErrorMessage()}"); }
    }

    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    [LibraryImport("libc", EntryPoint = "lchown", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int ChangeOwner(string path, uint user, uint group);
}
