using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Platform.Messaging.Generators;

namespace Platform.Messaging.Tests;

public class The_generator
{
    private const string Common = """
        using System; using System.Threading; using System.Threading.Tasks; using System.Text.Json.Serialization; using Platform.Messaging;
        namespace Snippet;
        public readonly record struct BoxId(Guid Value) : IGuidId<BoxId> { public static BoxId From(Guid value) => new(value); }
        public sealed record Opened(BoxId BoxId);
        public interface IWorld { Task<int> Ask(); }
        [JsonSerializable(typeof(Opened))] [JsonSerializable(typeof(Open))] public abstract partial class Json : JsonSerializerContext;
        """;

    private const string Box = "[Stream<BoxId>(\"box\")] public sealed record Box { public static Box Create(Opened e) => new(); }";
    private const string Open = "public sealed record Open(BoxId BoxId);";

    private static string[] Errors(string source)
    {
        var references = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator).Select(p => MetadataReference.CreateFromFile(p));
        var compilation = CSharpCompilation.Create(
            "Snippet",
            [CSharpSyntaxTree.ParseText(Common + source, cancellationToken: TestContext.Current.CancellationToken)],
            references,
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, nullableContextOptions: NullableContextOptions.Enable));
        var result = CSharpGeneratorDriver.Create(new HandlerGenerator()).RunGenerators(compilation, TestContext.Current.CancellationToken).GetRunResult();
        Assert.Null(result.Results[0].Exception);
        return [.. result.Diagnostics.Select(d => d.Id).Distinct()];
    }

    [Fact]
    public void accepts_a_handler_of_the_right_shape() =>
        Assert.Empty(Errors(Box + Open + "public static class OpenHandler { public static Events Handle(Open c, Box? b, DateTimeOffset now) => [new Opened(c.BoxId)]; }"));

    [Theory]
    [InlineData("PLT001", Box + Open + "public static class OpenHandler { public static void Handle(int other) { } }")]
    [InlineData("PLT002", Box + Open + "public static class OpenHandler { public static Events Handle(Open c, Box? b, IWorld world) => []; }")]
    [InlineData("PLT003", Box + Open + "public static class OpenHandler { public static int Handle(Open c, Box? b) => 1; }")]
    [InlineData("PLT003", Box + Open + "public static class OpenHandler { public static Events Handle(Open c) => []; }")]
    [InlineData("PLT004", Open + "[Stream<BoxId>(\"box\")] public sealed record Box;")]
    [InlineData("PLT005", Box + "public sealed record Open(int No); public static class OpenHandler { public static Events Handle(Open c, Box? b) => []; }")]
    [InlineData("PLT005", Box + "public sealed record Open(BoxId A, BoxId B); public static class OpenHandler { public static Events Handle(Open c, Box? b) => []; }")]
    [InlineData("PLT006", Open + "public sealed record Closed; [Stream<BoxId>(\"box\")] public sealed record Box { public static Box Create(Opened e) => new(); public Box Apply(Closed e) => this; }")]
    [InlineData("PLT007", Box + Open + "public static class OpenHandler { public static Events Handle(Open c, Box? b) => []; } public static class Other { public static class OpenHandler { public static Events Handle(Open c, Box? b) => []; } }")]
    [InlineData("PLT008", Open + "[Alias(\"opened\")] public sealed record Closed; [Stream<BoxId>(\"box\")] public sealed record Box { public static Box Create(Opened e) => new(); public Box Apply(Closed e) => this; }")]
    [InlineData("PLT009", Box + Open + "public static class OpenHandler { public static int Validate(Open c) => 1; public static Events Handle(Open c, Box? b) => []; }")]
    [InlineData("PLT010", Box + Open + "public static class Old { [Upcast(\"opened\", 1)] public static int Mend(int e) => e; }")]
    [InlineData("PLT011", Box + "[OrderedBy(\"Nothing\")] public sealed record Open(BoxId BoxId); public static class OpenHandler { public static Events Handle(Open c, Box? b) => []; }")]
    public void names_what_is_wrong(string expected, string source) => Assert.Contains(expected, Errors(source));

    [Fact]
    public void does_nothing_again_when_something_else_was_edited()
    {
        var cancellation = TestContext.Current.CancellationToken;
        var references = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator).Select(p => MetadataReference.CreateFromFile(p));
        var source = Common + Box + Open + "public static class OpenHandler { public static Events Handle(Open c, Box? b) => []; }";
        var compilation = CSharpCompilation.Create("Snippet", [CSharpSyntaxTree.ParseText(source, cancellationToken: cancellation)], references, new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary));
        GeneratorDriver driver = CSharpGeneratorDriver.Create(
            [new HandlerGenerator().AsSourceGenerator()], driverOptions: new GeneratorDriverOptions(IncrementalGeneratorOutputKind.None, trackIncrementalGeneratorSteps: true));
        driver = driver.RunGenerators(compilation, cancellation);
        Assert.Single(driver.GetRunResult().GeneratedTrees);
        driver = driver.RunGenerators(compilation.AddSyntaxTrees(CSharpSyntaxTree.ParseText("namespace Other; internal static class Nothing { public static int Handle(int x) => x; }", cancellationToken: cancellation)), cancellation);
        var outputs = driver.GetRunResult().Results[0].TrackedOutputSteps.SelectMany(steps => steps.Value).SelectMany(step => step.Outputs).ToArray();
        Assert.NotEmpty(outputs);
        Assert.All(outputs, output => Assert.True(output.Reason is IncrementalStepRunReason.Cached or IncrementalStepRunReason.Unchanged, output.Reason.ToString()));
    }
}
