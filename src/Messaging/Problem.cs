namespace Platform.Messaging;

/// <summary>
/// A refusal that the caller can correct, returned by <c>Validate</c>: RFC 9457 problem+json over HTTP, exit code 2 on the command line.
/// </summary>
/// <param name="Code">Stable and dotted, for example <c>run.not-found</c>; the last part of the problem's type URI.</param>
/// <param name="Detail">One sentence for a person: what is wrong, and what to do.</param>
/// <param name="Status">HTTP status, 400 to 499.</param>
/// <param name="Extensions">Further members, for example the limit and the value that passed it.</param>
public sealed record Problem(string Code, string Detail, int Status = 422, IReadOnlyDictionary<string, string>? Extensions = null);

/// <summary>Carries a <see cref="Problem"/> to the host that must show it. Thrown by the pipeline, and by a <c>LoadAsync</c> that finds in the world why the command cannot be.</summary>
public sealed class ProblemException(Problem problem) : Exception($"{problem.Code}: {problem.Detail}")
{
    public Problem Problem { get; } = problem;
}
