package org.meritrec.example

import org.json.JSONArray
import org.json.JSONObject
import org.meritrec.bridge.Meritrec

/** What the SDK refused: the class name of its error, and one sentence. */
class MeritrecException(val kind: String, message: String) : Exception(message)

/** Calls the SDK with arguments by name and returns its answer, a JSON value. Blocks. */
@Throws(MeritrecException::class)
fun Meritrec.ask(name: String, vararg arguments: Pair<String, Any?>): Any? {
    val given = JSONObject()
    for ((key, value) in arguments) {
        given.put(key, value ?: JSONObject.NULL)
    }
    val answer = JSONObject(call(name, given.toString()))
    answer.optJSONObject("error")?.let {
        throw MeritrecException(it.getString("kind"), it.getString("message"))
    }
    return answer.opt("ok")
}

/** One line of a ranking. */
data class Pick(val item: String, val title: String, val reasons: List<String>)

/** Up to `k` recommendations, the best first. Blocks. */
fun Meritrec.recommend(k: Int): List<Pick> {
    val rows = ask("recommend", "k" to k) as JSONArray
    return rows.objects().map { row ->
        val reasons = row.getJSONArray("reasons").objects().map { it.getString("text") }
        Pick(row.getString("item"), row.getString("title"), reasons)
    }
}

private fun JSONArray.objects(): List<JSONObject> = (0 until length()).map(::getJSONObject)
