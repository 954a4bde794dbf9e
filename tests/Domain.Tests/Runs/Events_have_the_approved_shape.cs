using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace Platform.Domain.Tests.Runs;

public class Events_have_the_approved_shape
{
    /// <summary>What is stored is a public interface: a change here needs a new version of the event and an upcaster. PLATFORM_APPROVE=1 writes the file.</summary>
    [Fact]
    public void as_the_committed_file_says()
    {
        var approved = Path.Combine(Folder(), "events.approved.txt");
        var now = Shapes();
        if (Environment.GetEnvironmentVariable("PLATFORM_APPROVE") == "1") { File.WriteAllText(approved, now); }
        Assert.Equal(File.ReadAllText(approved), now);
    }

    private static string Shapes()
    {
        var text = new StringBuilder();
        foreach (var type in Handlers.Table.Events.OrderBy(e => e.ClrType.Name, StringComparer.Ordinal))
        {
            text.Append(type.Alias).Append('\n');
            foreach (var property in type.Json.Properties) { text.Append(CultureInfo.InvariantCulture, $"  {property.Name}: {Name(property.PropertyType)}\n"); }
        }

        return text.ToString();
    }

    private static string Name(Type type) =>
        Nullable.GetUnderlyingType(type) is { } inner ? Name(inner) + "?"
        : type.IsGenericType ? $"{type.Name[..type.Name.IndexOf('`', StringComparison.Ordinal)]}<{string.Join(", ", type.GetGenericArguments().Select(Name))}>"
        : type.Name;

    // Sources are mapped to /_/ in the build; the test runs from the repository.
    private static string Folder([CallerFilePath] string here = "")
    {
        var relative = here.StartsWith("/_/", StringComparison.Ordinal) ? here[3..] : here;
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Platform.sln"))) { return Path.Combine(folder.FullName, "tests", "Domain.Tests"); }
        }

        throw new DirectoryNotFoundException(relative);
    }
}
